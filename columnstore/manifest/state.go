// Package manifest keeps the warehouse's durable description of itself: tables with
// their segments and deletes, pipelines with epochs, leases and positions, and from
// where the load log must be replayed.
//
// It is a log of edits (internal/wal, in the folder manifest) whose records are a
// version byte and JSON. Every so often a record holds the whole state, and what
// lies before it is released. docs/formats/manifest.md lists the fields.
package manifest

import (
	"github.com/millrace/millrace/columnstore/segment"
	"github.com/millrace/millrace/schemas"
	"github.com/millrace/millrace/schemas/load"
)

// State is everything that the edits so far say.
type State struct {
	// History names this warehouse's history of versions.
	History string `json:"history"`
	// Ceiling is above every version that was ever given out.
	Ceiling uint64 `json:"ceiling"`
	// NextSegment numbers files.
	NextSegment uint64 `json:"next_segment"`
	// Replay is where reading the load log starts, LogEnd what was durable of it
	// at the checkpoint.
	Replay schemas.LSN `json:"replay"`
	LogEnd schemas.LSN `json:"log_end"`

	Tables    map[string]*Table        `json:"tables"`
	Pipelines map[string]*Control      `json:"pipelines"`
	Positions map[string]*Position     `json:"positions"`
	Segments  map[uint64]*segment.Meta `json:"segments"`
}

// Table is a table and what it consisted of at the checkpoint.
type Table struct {
	Def
	Data
}

// Def is what a table is.
type Def struct {
	Schema   *schemas.Table `json:"schema"`
	Pipeline string         `json:"pipeline"`
	Source   string         `json:"source"`
}

// Data is a table's content.
type Data struct {
	Ready     bool         `json:"ready,omitempty"`
	RowsDone  int64        `json:"rows_done,omitempty"`
	RowsTotal int64        `json:"rows_total,omitempty"`
	Segments  []SegmentRef `json:"segments,omitempty"`
}

// SegmentRef is a segment of a table with its deleted rows.
type SegmentRef struct {
	ID      uint64 `json:"id"`
	Deletes *Range `json:"deletes,omitempty"`
	Count   int64  `json:"count,omitempty"` // deleted rows
}

// Range is bytes of a file with their checksum.
type Range struct {
	File string `json:"file"`
	Off  int64  `json:"off"`
	Len  int64  `json:"len"`
	CRC  uint32 `json:"crc"`
}

// Control is what a pipeline was told: it changes one edit at a time, each durable
// before it has an effect.
type Control struct {
	load.Pipeline
	Epoch  uint64       `json:"epoch"` // last granted
	Token  uint64       `json:"token"` // last given to a lease
	Replay string       `json:"replay,omitempty"`
	Runs   []GrantedRun `json:"runs,omitempty"` // ascending epochs that still matter
	Leases []Lease      `json:"leases,omitempty"`
}

// GrantedRun is a run with its epoch and the pipeline version that makes its rows.
type GrantedRun struct {
	Epoch   uint64   `json:"epoch"`
	Version string   `json:"version"`
	Run     load.Run `json:"run"`
}

// Lease is the last lease of a partition of the newest epoch.
type Lease struct {
	Partition load.Partition `json:"partition"`
	Token     uint64         `json:"token"`
	Worker    string         `json:"worker"`
}

// Clone copies a control deeply enough to change it.
func (c *Control) Clone() *Control {
	n := *c
	n.Runs = append([]GrantedRun(nil), c.Runs...)
	n.Leases = append([]Lease(nil), c.Leases...)
	return &n
}

// Position is how far a pipeline is at a checkpoint.
type Position struct {
	Epoch      uint64      `json:"epoch"` // being published; 0 before the first
	W          schemas.LSN `json:"w"`
	CommitTime int64       `json:"commit_time"` // µs since 1970
	// Loading says that the epoch's snapshot is not complete: rows at or below W
	// are not known yet.
	Loading bool `json:"loading,omitempty"`
	// Covers are the tables that become ready with the epoch's first ordinary record.
	Covers []string `json:"covers,omitempty"`
	Epochs []Epoch  `json:"epochs,omitempty"`
}

// Epoch is the state of an epoch that still matters.
type Epoch struct {
	Epoch uint64           `json:"epoch"`
	Begun bool             `json:"begun,omitempty"`
	From  schemas.LSN      `json:"from,omitempty"`
	Parts []PartitionState `json:"parts,omitempty"`
}

// PartitionState is how far a partition is loaded.
type PartitionState struct {
	Partition load.Partition `json:"partition"`
	Next      uint64         `json:"next"`    // first sequence not durable
	Applied   uint64         `json:"applied"` // rows of sequences below it are in the tables
	Offset    int64          `json:"offset"`
}

// Edit is one atomic change; the parts that are set replace what they name.
type Edit struct {
	State      *State      `json:"state,omitempty"` // everything
	Control    *Control    `json:"control,omitempty"`
	Tables     []Def       `json:"tables,omitempty"`
	Ceiling    uint64      `json:"ceiling,omitempty"`
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
	// LogLost says that the load log before a position is gone for good.
	LogLost schemas.LSN `json:"log_lost,omitempty"`
}

// Checkpoint names together all that belongs together: one version of every
// table, the positions that it stands for, and the log that is still needed.
type Checkpoint struct {
	Replay      schemas.LSN          `json:"replay"`
	LogEnd      schemas.LSN          `json:"log_end"`
	NextSegment uint64               `json:"next_segment"`
	Added       []*segment.Meta      `json:"added,omitempty"`
	Tables      map[string]Data      `json:"tables"`
	Positions   map[string]*Position `json:"positions"`
}

func newState() *State {
	return &State{Tables: map[string]*Table{}, Pipelines: map[string]*Control{}, Positions: map[string]*Position{}, Segments: map[uint64]*segment.Meta{}}
}

func (s *State) apply(e *Edit) {
	if e.State != nil {
		*s = *e.State
		s.fill()
	}
	if e.Control != nil {
		s.Pipelines[e.Control.Name] = e.Control
	}
	for _, d := range e.Tables {
		t := s.Tables[d.Schema.FullName()]
		if t == nil {
			t = &Table{}
			s.Tables[d.Schema.FullName()] = t
		}
		t.Def = d
	}
	s.Ceiling = max(s.Ceiling, e.Ceiling)
	if e.LogLost > 0 {
		s.Replay, s.LogEnd = e.LogLost, max(s.LogEnd, e.LogLost)
	}
	if e.Checkpoint != nil {
		s.checkpoint(e.Checkpoint)
	}
}

func (s *State) fill() {
	n := newState()
	if s.Tables == nil {
		s.Tables = n.Tables
	}
	if s.Pipelines == nil {
		s.Pipelines = n.Pipelines
	}
	if s.Positions == nil {
		s.Positions = n.Positions
	}
	if s.Segments == nil {
		s.Segments = n.Segments
	}
}

func (s *State) checkpoint(c *Checkpoint) {
	s.Replay, s.LogEnd, s.NextSegment = c.Replay, c.LogEnd, c.NextSegment
	for _, m := range c.Added {
		s.Segments[m.ID] = m
	}
	used := map[uint64]bool{}
	for name, d := range c.Tables {
		t := s.Tables[name]
		if t == nil {
			continue
		}
		t.Data = d
	}
	for _, t := range s.Tables {
		for _, ref := range t.Segments {
			used[ref.ID] = true
		}
	}
	for id := range s.Segments {
		if !used[id] {
			delete(s.Segments, id)
		}
	}
	s.Positions = c.Positions
}
