"""JSON Schema as pydantic and zod write it → the part of it that the API accepts."""
