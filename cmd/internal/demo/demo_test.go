package demo

import (
	"io"
	"log/slog"
	"testing"
	"time"
)

func TestDemo(t *testing.T) {
	r, err := Run(t.Context(), Options{
		Duration: 3 * time.Second, Rate: 5000, QueryRate: 20, HTTP: "127.0.0.1:0", Kafka: "127.0.0.1:0",
		Dir: t.TempDir(), Progress: testWriter{t}, Logger: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.WriteText(testWriter{t})
	if !r.Verified.Exact() || r.Verified.Tables != 6 || r.Verified.Rows == 0 || r.Verified.InvariantChecks == 0 || r.QueriesFailed > 0 {
		t.Errorf("%+v", r)
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

var _ io.Writer = testWriter{}
