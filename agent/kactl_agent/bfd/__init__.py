"""BFD: sessions with neighbours as pure engines (RFC 5880, 5881, 5882, 5883, 9747, 9764)."""
