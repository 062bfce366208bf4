"""What is said to a RabbitMQ: requests, the state read in one go, records of who owns what, steps carried out."""
