"""What `aiga bench` measures. Each module has `bench() -> (data, text)`."""
