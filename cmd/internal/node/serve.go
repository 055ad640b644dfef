package node

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace/millrace/columnstore/httpapi"
	"github.com/millrace/millrace/schemas"
)

// WarehouseDir is where the warehouse's files stand in a data folder.
func WarehouseDir(dir string) string { return filepath.Join(dir, "warehouse") }

// Listen binds a loopback address. flag names the flag that changes it.
func Listen(addr, flag string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		e := schemas.Errorf(schemas.CodeInvalid, "22023", "%s %q is no address", flag, addr)
		e.Hint = "write host:port, such as 127.0.0.1:8080, or 127.0.0.1:0 for a free port"
		return nil, e
	}
	// Nobody is asked who they are, so nobody else may come.
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) && host != "" {
		e := schemas.Errorf(schemas.CodeInvalid, "22023", "%s %q is not a loopback address", flag, addr)
		e.Hint = "this version serves without authentication, so only to this machine: use 127.0.0.1"
		return nil, e
	}
	if host == "" {
		addr = "127.0.0.1" + addr
	}
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		e := schemas.Errorf(schemas.CodeInUse, "55006", "the address %s is in use", addr)
		e.Hint = "choose another with " + flag + ", such as " + flag + " 127.0.0.1:0 for a free port"
		return nil, e
	}
	if err != nil {
		return nil, &schemas.Error{Code: schemas.CodeIO, SQLState: "58030", Message: "listen on " + addr, Err: err, Hint: "choose another address with " + flag}
	}
	return l, nil
}

// NewServer serves a store's handler.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h,
		// A client that sends its request slowly, or reads its answer slowly, holds
		// a connection and no more than that long.
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      15 * time.Minute,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// Serve answers on a listener until ctx ends.
func Serve(ctx context.Context, s *http.Server, l net.Listener) error {
	return httpapi.Serve(ctx, s, func() error { return s.Serve(l) }, closeGrace)
}
