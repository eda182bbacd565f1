"""Health checks as pure exchanges: what to send, bytes in, and what came of it."""
