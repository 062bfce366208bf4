"""A user gets a new password while everybody goes on working."""
