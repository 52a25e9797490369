"""The keywords of JSON Schema, by what becomes of them."""

from __future__ import annotations

#: The words of `type` that the API knows; it has no `null`, but `nullable`.
TYPES = ("object", "array", "string", "number", "integer", "boolean")
NULL = "null"
#: The formats of text that the API knows.
FORMATS = ("date", "date-time", "duration", "time")

#: Keyword of the API → the types that it applies to.
TYPES_FOR = {
    "enum": ("string",),
    "format": ("string",),
    "items": ("array",),
    "minItems": ("array",),
    "maxItems": ("array",),
    "minimum": ("number", "integer"),
    "maximum": ("number", "integer"),
}
#: The same with the keywords that the API allows anywhere, for schemas of several types.
RELEVANT_FOR = {
    **TYPES_FOR,
    **dict.fromkeys(("properties", "required", "propertyOrdering"), ("object",)),
}

#: Keywords that describe a schema, and exclude no value.
ANNOTATIONS = frozenset(
    {
        *("title", "default", "examples", "example", "deprecated", "readOnly", "writeOnly"),
        *("$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$comment", "$vocabulary"),
        *("discriminator", "contentEncoding", "contentMediaType", "contentSchema"),
        *("errorMessage", "markdownDescription", "enumNames", "enumDescriptions", "xml"),
        *("externalDocs",),
    }
)
#: Places of schemas that `$ref` names.
DEFINITIONS = ("$defs", "definitions")
#: Keywords that exclude values, which the API does not check.
UNCHECKED = frozenset(
    {
        *("pattern", "minLength", "maxLength", "multipleOf", "uniqueItems"),
        *("minProperties", "maxProperties"),
    }
)
#: Keywords that say which properties an object may have beside those in `properties`.
OPEN_ENDED = (
    "additionalProperties",
    "unevaluatedProperties",
    "patternProperties",
    "propertyNames",
)
#: Keywords that are schemas beside the others of their mapping.
APPLICATORS = ("$ref", "allOf", "anyOf", "oneOf")
#: Keywords that exclude values by rules that the API does not know.
RULES = ("not", "if", "then", "else", "contains", "minContains", "maxContains", "dependencies")

#: Formats of texts and numbers that others write, and the API does not know.
OTHER_FORMATS = frozenset(
    {
        *("uuid", "uri", "url", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6"),
        *("uri-reference", "uri-template", "iri", "iri-reference", "json-pointer", "regex"),
        *("relative-json-pointer", "binary", "byte", "password", "path", "file-path"),
        *("directory-path", "json-string", "decimal", "int32", "int64", "float", "double"),
        *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "safeint", "date-time-local"),
        *("base64", "base64url", "cidrv4", "cidrv6", "ipv4network", "ipv6network", "jwt", "e164"),
        *("ipv4interface", "ipv6interface", "ipvanyaddress", "ipvanynetwork", "ipvanyinterface"),
        *("emoji", "nanoid", "cuid", "cuid2", "ulid", "xid", "ksuid", "guid", "lowercase"),
        *("uppercase", "multi-host-uri", "color", "phone", "mac", "name-email", "time-zone"),
        *("uuid1", "uuid3", "uuid4", "uuid5", "uuid6", "uuid7", "uuid8", "local-time"),
    }
)

#: Every keyword, for the question whether a mapping is a schema at all.
KNOWN = frozenset(
    {
        *("type", "nullable", "properties", "required", "propertyOrdering", "items", "enum"),
        *("minItems", "maxItems", "format", "minimum", "maximum", "const", "description"),
        *("exclusiveMinimum", "exclusiveMaximum", "prefixItems", "additionalItems"),
        *("unevaluatedItems", "dependentRequired", "dependentSchemas", "$dynamicRef"),
        *("$recursiveRef", "$recursiveAnchor"),
        *ANNOTATIONS,
        *DEFINITIONS,
        *UNCHECKED,
        *OPEN_ENDED,
        *APPLICATORS,
        *RULES,
    }
)
