"""RabbitMQ over AMQP 0-9-1: connections, a reader for deliveries and confirms, pipelined publishes."""
