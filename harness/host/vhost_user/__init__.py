"""An instrumented vhost-user-net back end, and a recording and altering proxy between any VMM and any back end."""
