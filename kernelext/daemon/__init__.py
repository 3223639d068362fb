"""On the host: blobs, queue, containers and journals. It decodes no value."""
