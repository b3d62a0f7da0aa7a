"""What may be sent: the commands of the `control` stream, what holds of them, and the client that dispatchers ask."""
