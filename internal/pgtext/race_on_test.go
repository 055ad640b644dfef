//go:build race

package pgtext

// raceEnabled: the race detector makes sync.Pool forget at random.
const raceEnabled = true
