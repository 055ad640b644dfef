package pipelines

import (
	"bytes"
	"encoding/json"
)

// JSONSchema describes pipeline files for editors (JSON Schema 2020-12). It is made
// of the same keys that the parser knows; pipelines/pipeline.schema.json holds it.
func JSONSchema() []byte {
	s := sectionSchema(fileKeys)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Millrace pipeline"
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		panic(err) // maps of texts and numbers always encode
	}
	return b.Bytes()
}

type schema map[string]any

func sectionSchema(keys []key) schema {
	props, required := schema{}, []string{}
	for _, k := range keys {
		props[k.name] = keySchema(k)
		if k.required {
			required = append(required, k.name)
		}
	}
	s := schema{"type": "object", "additionalProperties": false, "properties": props}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// variableSchema lets ${VAR} stand for what is not a text.
var variableSchema = schema{"type": "string", "pattern": `\$\{`}

func keySchema(k key) schema {
	var s schema
	switch k.shape {
	case section:
		s = sectionSchema(k.keys)
	case sections:
		s = schema{"type": "array", "items": sectionSchema(k.keys)}
	case texts:
		s = schema{"anyOf": []schema{{"type": "string"}, {"type": "array", "items": schema{"type": "string"}}}}
	case number:
		s = schema{"anyOf": []schema{{"type": "integer", "minimum": k.min, "maximum": k.max}, variableSchema}}
	case duration:
		s = schema{"type": "string", "pattern": `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|\$\{`}
	case name:
		s = schema{"type": "string", "pattern": `^[A-Za-z_][A-Za-z0-9_-]{0,62}$|\$\{`}
	default:
		s = schema{"type": "string"}
		if k.allowed != nil {
			s = schema{"anyOf": []schema{{"enum": k.allowed}, variableSchema}}
		}
	}
	s["description"] = k.about
	if k.byDefault != "" {
		s["description"] = k.about + " Default: " + k.byDefault + "."
	}
	return s
}
