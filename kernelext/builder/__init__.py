"""Inside a container of the base image: wheels into pieces of layers. Opens no connection."""
