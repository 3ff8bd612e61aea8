"""What only phones of the office LAN are served beside HTTP: TFTP, and a receiver of their syslog lines."""
