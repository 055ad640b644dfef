package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// repair cuts every partition's log at the first record batch that is torn, corrupt
// or out of place, before kfake reads it. kfake would cut some of that itself but
// go on to append as if it had not, and would believe a damaged offset. What is cut
// off is missed by the stream's readers, and the source replays (I8).
func repair(data string, log *slog.Logger) error {
	parts, err := os.ReadDir(filepath.Join(data, "partitions"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, p := range parts {
		if !p.IsDir() {
			continue
		}
		lost, err := repairPartition(filepath.Join(data, "partitions", p.Name()))
		if err != nil {
			return err
		}
		if lost != "" {
			log.Warn("the embedded broker's log is damaged and was cut", "partition", p.Name(), "where", lost)
		}
	}
	return nil
}

// repairPartition says where a partition was cut, "" when it is sound.
func repairPartition(dir string) (string, error) {
	bases, err := segments(dir)
	if err != nil {
		return "", err
	}
	for i, base := range bases {
		path := filepath.Join(dir, name(base, ".dat"))
		good, size, next, err := soundBytes(path, base)
		if err != nil {
			return "", err
		}
		follows := i == len(bases)-1 || bases[i+1] == next
		if good == size && follows {
			continue
		}
		return fmt.Sprintf("offset %d", next), cut(dir, path, good, bases[i+1:])
	}
	return "", nil
}

// segments lists a partition's segments by their first offsets.
func segments(dir string) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, e := range entries {
		if text, ok := strings.CutSuffix(e.Name(), ".dat"); ok {
			if base, err := strconv.ParseInt(text, 10, 64); err == nil {
				bases = append(bases, base)
			}
		}
	}
	slices.Sort(bases)
	return bases, nil
}

func name(base int64, suffix string) string { return strconv.FormatInt(base, 10) + suffix }

// cut ends a log after good bytes of a segment and removes the segments after it.
// The snapshot that a clean stop left describes another log and goes as well.
func cut(dir, path string, good int64, later []int64) error {
	if err := os.Remove(filepath.Join(dir, "snapshot.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, base := range later {
		for _, suffix := range []string{".dat", ".idx"} {
			if err := os.Remove(filepath.Join(dir, name(base, suffix))); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
	}
	return os.Truncate(path, good)
}

// batchHead is a record batch up to its checksum's scope: base offset, length,
// leader epoch, magic, CRC32C of the rest.
const batchHead = 21

// soundBytes walks a segment's record batches: how many bytes hold, of how many,
// and the offset after them.
func soundBytes(path string, base int64) (good, size, next int64, err error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, 0, err
	}
	next = base
	table := crc32.MakeTable(crc32.Castagnoli)
	rest := raw
	for len(rest) >= batchHead+6 {
		n := int64(binary.BigEndian.Uint32(rest[8:])) + 12
		if n < batchHead+6 || n > int64(len(rest)) {
			break
		}
		b := rest[:n]
		if int64(binary.BigEndian.Uint64(b)) != next || b[16] != 2 || binary.BigEndian.Uint32(b[17:]) != crc32.Checksum(b[batchHead:], table) {
			break
		}
		next += int64(binary.BigEndian.Uint32(b[23:])) + 1 // last offset delta
		rest = rest[n:]
	}
	return int64(len(raw) - len(rest)), int64(len(raw)), next, nil
}
