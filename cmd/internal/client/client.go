// Package client asks a warehouse over HTTP, as the programs' commands and the
// demo's analysts do.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/millrace/millrace/schemas"
)

// Client asks one warehouse. The zero HTTP field means http.DefaultClient.
type Client struct {
	URL  string // such as http://127.0.0.1:8080
	HTTP *http.Client
}

// Request is the body of POST /v1/query.
type Request struct {
	SQL       string       `json:"sql"`
	Format    string       `json:"format,omitempty"`
	MinLSN    *schemas.LSN `json:"min_lsn,omitempty"`
	WaitMS    *int64       `json:"wait_ms,omitempty"`
	TimeoutMS int64        `json:"timeout_ms,omitempty"`
}

// Result is a JSON answer.
type Result struct {
	QueryID  string `json:"query_id"`
	Snapshot struct {
		LSN  schemas.LSN `json:"lsn"`
		Time time.Time   `json:"time"`
	} `json:"snapshot"`
	Columns []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"columns"`
	Rows  [][]json.RawMessage `json:"rows"`
	Stats struct {
		Plan      float64 `json:"plan_ms"`
		Exec      float64 `json:"exec_ms"`
		Freshness float64 `json:"freshness_ms"`
	} `json:"stats"`
}

// Query runs a statement and reads its whole answer.
func (c *Client) Query(ctx context.Context, req Request) (*Result, error) {
	req.Format = "json"
	body, err := c.Raw(ctx, req)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var r Result
	if err := json.NewDecoder(body).Decode(&r); err != nil {
		return nil, Broken(err)
	}
	_, _ = io.Copy(io.Discard, body) // the connection can be used again
	return &r, nil
}

// Raw runs a statement and returns the answer's body in the format asked for.
// Reading it may fail: see Broken.
func (c *Client) Raw(ctx context.Context, req Request) (io.ReadCloser, error) {
	payload, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/query", payload)
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Get reads a JSON document such as /v1/tables.
func (c *Client) Get(ctx context.Context, path string, dst any) error {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return Broken(json.NewDecoder(resp.Body).Decode(dst))
}

func (c *Client) do(ctx context.Context, method, path string, payload []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, bytes.NewReader(payload))
	if err != nil {
		return nil, schemas.Errorf(schemas.CodeInvalid, "", "%q is no address of a warehouse: %v", c.URL, err)
	}
	req.Header.Set("Content-Type", "application/json")
	h := c.HTTP
	if h == nil {
		h = http.DefaultClient
	}
	resp, err := h.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &schemas.Error{
			Code: schemas.CodeIO, SQLState: "08001", Message: "no warehouse answers at " + c.URL, Err: err, Retryable: true,
			Hint: "start one with `warehouse serve`, or name it with --url",
		}
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, remoteError(resp)
}

// Broken explains an answer whose end is missing; nil is no error.
func Broken(err error) error {
	if err == nil {
		return nil
	}
	return &schemas.Error{
		Code: schemas.CodeIO, SQLState: "08006", Message: "the answer broke off before its end", Err: err, Retryable: true,
		Hint: "what arrived is not the whole result: ask again",
	}
}

// remoteError rebuilds the server's error.
func remoteError(resp *http.Response) error {
	var doc struct {
		Error struct {
			Code      schemas.Code `json:"code"`
			SQLState  string       `json:"sqlstate"`
			Message   string       `json:"message"`
			Line      int          `json:"line"`
			Column    int          `json:"column"`
			Hint      string       `json:"hint"`
			Retryable bool         `json:"retryable"`
		} `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil || doc.Error.Code == "" {
		return schemas.Errorf(schemas.CodeIO, "08P01", "what answers at %s is no warehouse: HTTP %s", resp.Request.URL.Host, resp.Status)
	}
	d := doc.Error
	return &schemas.Error{
		Code: d.Code, SQLState: d.SQLState, Message: d.Message, Hint: d.Hint, Retryable: d.Retryable,
		Pos: schemas.Pos{Line: d.Line, Column: d.Column},
	}
}
