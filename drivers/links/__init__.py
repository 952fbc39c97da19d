"""Where bytes meet devices: links with reconnect, pacing and health. All I/O of drivers is here."""
