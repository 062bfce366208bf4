"""The order service: owns every order, its state and its deadline. The process `api` accepts orders over HTTP, the
process `worker` updates them from the events of other services, and cancels them."""
