"""vhost-user back ends in use elsewhere, each started, watched through a recording proxy, and stopped."""
