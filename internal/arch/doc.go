// Package arch holds the shape of the source tree: which package may import
// which, checked by a test so that the picture in docs/ARCHITECTURE.md stays true.
package arch
