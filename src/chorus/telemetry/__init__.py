"""What is seen of a running process from outside: `/metrics` for Prometheus, and traces and metrics
by OpenTelemetry's protocol (OTLP)."""
