"""What is generated from the nodes themselves: the parameter reference, the SROS2 policy."""
