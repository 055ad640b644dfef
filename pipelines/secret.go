package pipelines

// Secret is a text that is never printed: formatting shows asterisks.
type Secret struct{ text string }

// NewSecret makes a secret.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal returns the text, for whom it is meant.
func (s Secret) Reveal() string { return s.text }

// String and the others show that there is something, not what.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return "***"
}

// GoString is for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText is for JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
