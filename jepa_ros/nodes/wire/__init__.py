"""What goes over the wire: QoS, tensors, images."""
