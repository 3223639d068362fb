"""Inside a container of the image below: packages into pieces of layers. Opens no connection."""
