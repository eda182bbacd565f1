"""kactl's agent: VRRP, IPVS with health checks, and BFD, configured in YAML."""

__version__ = "0.1.0"
