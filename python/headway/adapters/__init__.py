"""Where limits meet frameworks: one small module each, which imports its framework and nothing of the others.

`wsgi`, `fastapi` and `grpc` meter what an application is asked; `httpx`, `sqlalchemy` and `celery` what it asks of others.
All take a `Limiter`, or what `headway.open` or `headway.connect` returned and a contract's name, as `headway.asgi.Middleware`
does.
`opentelemetry` meters nothing: it tells spans what the others' limits decided.
"""
