package stream

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// rec makes a record.
func rec(offset int64, h header, payload string) record {
	b := append(make([]byte, headerLen), payload...)
	h.seal(b)
	return record{offset: offset, value: b}
}

// log writes messages of some epochs, some of them in chunks, some of them again.
func writeLog(r *rand.Rand, epoch uint64, messages []string, limit int) (log []record) {
	var inFlight [][]byte
	add := func(rs [][]byte) {
		for _, v := range rs {
			log = append(log, record{int64(len(log)), v})
		}
	}
	for seq, text := range messages {
		h := header{kind: KindData, epoch: epoch, sequence: uint64(seq)}
		records, _ := split(h, append(make([]byte, headerLen), text...), limit)
		if r.IntN(3) == 0 { // a zombie's
			old := header{kind: KindData, epoch: epoch - 1, sequence: uint64(r.IntN(50))}
			zs, _ := split(old, append(make([]byte, headerLen), "zombie"...), limit)
			add(zs)
		}
		add(records)
		inFlight = records
		for r.IntN(3) == 0 { // the acknowledgement was lost after some or all were written
			add(inFlight[:1+r.IntN(len(inFlight))])
			add(inFlight)
		}
	}
	return log
}

// Whatever zombies and repetitions the log holds, each message comes out once, in
// order; and without any one record that matters, there is an error.
func TestFilterAgainstModel(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 3))
		var messages []string
		for range 1 + r.IntN(12) {
			messages = append(messages, string(bytes.Repeat([]byte{byte('a' + r.IntN(26))}, r.IntN(200))))
		}
		log := writeLog(r, 5, messages, headerLen+50)
		got, err := through(log, &filter{epoch: 5})
		require.NoError(t, err, "seed %d", seed)
		require.Equal(t, messages, got, "seed %d", seed)
		// Any single record may be missing.
		gone := r.IntN(len(log))
		got, err = through(append(append([]record(nil), log[:gone]...), log[gone+1:]...), &filter{epoch: 5, rewound: true})
		if err == nil {
			require.Equal(t, messages[:len(got)], got, "seed %d without %d", seed, gone)
		} else {
			var lost *LostError
			require.ErrorAs(t, err, &lost)
			require.Equal(t, messages[:len(got)], got)
		}
	}
}

func through(log []record, f *filter) (out []string, err error) {
	out = []string{}
	for _, r := range log {
		_, payload, v, err := f.admit(r)
		if err != nil {
			return out, err
		}
		if v == whole {
			out = append(out, string(payload))
		}
	}
	return out, nil
}

// What a filter does with one record that is not the next one.
func TestFilterVerdicts(t *testing.T) {
	at := func(next uint64) *filter {
		return &filter{epoch: 7, next: next, partition: load.Partition{Topic: "t", Index: 2}}
	}
	var lost *LostError
	_, _, v, err := at(4).admit(rec(9, header{kind: KindData, chunks: 1, epoch: 7, sequence: 4}, "x"))
	require.NoError(t, err)
	require.Equal(t, whole, v)
	_, _, v, err = at(4).admit(rec(9, header{kind: KindData, chunks: 1, epoch: 7, sequence: 3}, "x"))
	require.NoError(t, err)
	require.Equal(t, drop, v)
	_, _, v, err = at(4).admit(rec(9, header{kind: KindData, chunks: 1, epoch: 6, sequence: 4}, "x"))
	require.NoError(t, err)
	require.Equal(t, drop, v)
	_, _, _, err = at(4).admit(rec(9, header{kind: KindData, chunks: 1, epoch: 7, sequence: 5}, "x"))
	require.ErrorAs(t, err, &lost)
	require.Equal(t, schemas.CodeStream, schemas.CodeOf(err))
	_, _, _, err = at(4).admit(rec(9, header{kind: KindMarker, chunks: 1, epoch: 8, sequence: 0}, ""))
	require.ErrorIs(t, err, ErrSuperseded)
	first := at(0)
	_, _, _, err = first.admit(rec(9, header{kind: KindData, chunks: 1, epoch: 7, sequence: 5}, "x"))
	require.ErrorIs(t, err, errRewind)
	_, _, _, err = first.admit(rec(9, header{kind: KindData, chunks: 1, epoch: 7, sequence: 5}, "x"))
	require.ErrorAs(t, err, &lost, "only once")
	bad := rec(9, header{kind: KindData, chunks: 1, epoch: 7, sequence: 4}, "payload")
	bad.value[headerLen+3] ^= 1
	_, _, _, err = at(4).admit(bad)
	require.ErrorAs(t, err, &lost)
	f := at(4)
	_, _, v, err = f.admit(rec(9, header{kind: KindData, chunk: 0, chunks: 3, epoch: 7, sequence: 4}, "x"))
	require.NoError(t, err)
	require.Equal(t, partial, v)
	_, _, _, err = f.admit(rec(9, header{kind: KindData, chunk: 2, chunks: 3, epoch: 7, sequence: 4}, "x"))
	require.ErrorAs(t, err, &lost)
}

// A changed byte anywhere in a record is found, and nothing panics.
func TestParseDamage(t *testing.T) {
	good := rec(0, header{kind: KindData, chunks: 1, epoch: 1, sequence: 2, sent: 3, schemaVersion: 4}, "some payload").value
	h, payload, err := parse(good)
	require.NoError(t, err)
	require.Equal(t, header{kind: KindData, chunks: 1, epoch: 1, sequence: 2, sent: 3, schemaVersion: 4}, h)
	require.Equal(t, "some payload", string(payload))
	for i := range good {
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			_, _, err := parse(bad)
			require.Error(t, err, "byte %d bit %d", i, bit)
			require.Equal(t, schemas.CodeCorrupt, schemas.CodeOf(err))
		}
		_, _, err = parse(good[:i])
		require.Error(t, err)
	}
}

func FuzzAdmit(f *testing.F) {
	f.Add(rec(0, header{kind: KindData, chunks: 1, epoch: 1}, "payload").value, uint16(0))
	f.Fuzz(func(t *testing.T, data []byte, next uint16) {
		fl := filter{epoch: 1, next: uint64(next)}
		if _, _, _, err := fl.admit(record{value: data}); err != nil {
			var lost *LostError
			if !errors.As(err, &lost) && !errors.Is(err, ErrSuperseded) && !errors.Is(err, errRewind) {
				t.Fatalf("%v", err)
			}
		}
	})
}

// A message longer than the limit goes in chunks of at most the limit.
func TestSplit(t *testing.T) {
	for _, n := range []int{0, 1, 59, 60, 61, 120, 121, 1000} {
		records, err := split(header{kind: KindData, epoch: 1}, make([]byte, headerLen+n), headerLen+60)
		require.NoError(t, err)
		require.Len(t, records, max(1, (n+59)/60))
		for i, r := range records {
			h, _, err := parse(r)
			require.NoError(t, err)
			require.LessOrEqual(t, len(r), headerLen+60)
			require.EqualValues(t, i, h.chunk)
			require.EqualValues(t, len(records), h.chunks)
		}
	}
	_, err := split(header{kind: KindData}, make([]byte, headerLen+70000*10), headerLen+10)
	require.Equal(t, schemas.CodeTooLarge, schemas.CodeOf(err))
}
