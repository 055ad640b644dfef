package oltp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/millrace/millrace/internal/vfs"
	"github.com/millrace/millrace/oltp/kv"
)

// slotsMagic begins the file SLOTS, whose first line is
//
//	millrace-slots 1 CRC
//
// where CRC is the CRC-32C of the rest in hexadecimal. The rest is a JSON array of
// slots. The file is replaced atomically with every change.
const slotsMagic = "millrace-slots 1 "

// load reads the file, before the log is opened.
func (s *slots) load(db *DB) error {
	s.file = filepath.Join(db.opts.Dir, "SLOTS")
	s.mu.byName = map[string]*slot{}
	data, err := vfs.ReadFile(db.opts.FS, s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	list, err := decodeSlots(data)
	if err != nil {
		return corrupt("read "+s.file, fmt.Errorf("%w: %w", kv.ErrCorrupt, err))
	}
	for _, sl := range list {
		s.mu.byName[sl.Name] = sl
	}
	return nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodeSlots(list []*slot) ([]byte, error) {
	body, err := json.MarshalIndent(list, "", " ")
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s%08x\n%s\n", slotsMagic, crc32.Checksum(append(body, '\n'), castagnoli), body), nil
}

func decodeSlots(data []byte) (list []*slot, err error) {
	head, body, _ := bytes.Cut(data, []byte("\n"))
	sum, ok := strings.CutPrefix(string(head), slotsMagic)
	switch {
	case !ok:
		return nil, errors.New("not a list of replication slots of format 1")
	case sum != fmt.Sprintf("%08x", crc32.Checksum(body, castagnoli)):
		return nil, errors.New("checksum does not hold")
	}
	return list, json.Unmarshal(body, &list)
}

// save writes the file. It needs mu.
func (s *slots) save(db *DB) error {
	if s.mu.closed {
		return ErrClosed // another process may have the folder by now
	}
	var list []*slot
	for _, sl := range s.mu.byName {
		list = append(list, sl)
	}
	slices.SortFunc(list, func(a, b *slot) int { return strings.Compare(a.Name, b.Name) })
	data, err := encodeSlots(list)
	if err == nil {
		err = vfs.WriteFile(db.opts.FS, s.file, data)
	}
	return vfs.Typed("save replication slots", err)
}
