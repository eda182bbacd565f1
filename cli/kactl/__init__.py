"""The kactl command: migrate keepalived.conf, check configuration, operate an agent."""
