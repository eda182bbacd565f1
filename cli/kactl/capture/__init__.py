"""Captured packets of VRRP, BFD and IPVS synchronisation: what is in them, and what the agent makes of them."""
