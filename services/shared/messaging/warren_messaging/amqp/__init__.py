"""RabbitMQ over AMQP 0-9-1: connections, the reader of deliveries and confirms, pipelined publishes."""
