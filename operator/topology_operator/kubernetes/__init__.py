"""The Kubernetes API: client, authentication, object references, Secrets and watches."""
