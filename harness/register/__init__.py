"""The register of requirements, and the page that is made of it."""
