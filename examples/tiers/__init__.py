"""A device, an edge server and a cloud server as processes of one machine, with shaped links between them."""
