"""IPVS load balancing as pure code: what is to be in the kernel, and who of the real servers is."""
