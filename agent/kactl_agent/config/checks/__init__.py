"""What no single field can say: one module for each family of rules, run by `kactl_agent.config.check`."""
