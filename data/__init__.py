"""What the project wrote to learn and show from: a seeded world with its ground truth, and a provider that posts it."""
