//go:build !race

package pgtext

const raceEnabled = false
