"""A network as a service: images and frames in over HTTP and WebSocket, instances out as JSON."""
