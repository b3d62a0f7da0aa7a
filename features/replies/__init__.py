"""What a reply says: its words apart from quotes and signatures, machines, dates, people, signals."""
