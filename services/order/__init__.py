"""The order service: owns every order, its states and its deadlines. It takes orders over HTTP (`api`), follows
them through what stock, payment and shipping report (`worker`), and is the only one that cancels them."""
