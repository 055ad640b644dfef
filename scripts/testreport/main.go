// Command testreport reads the output of `go test -json` and prints what a person
// wants of it: failures in full, one line a package, and every skip with its reason.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

type result struct {
	output []string
	action string
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: testreport FILE")
		os.Exit(2)
	}
	ok, err := report(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(3)
	}
	if !ok {
		os.Exit(1)
	}
}

func report(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	results := map[string]*result{}
	var passed, failed int
	var skips, packages []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.Action == "" {
			fmt.Println(lines.Text()) // what the compiler said
			continue
		}
		key := e.Package + " " + e.Test
		r := results[key]
		if r == nil {
			r = &result{}
			results[key] = r
		}
		switch e.Action {
		case "output", "build-output":
			r.output = append(r.output, e.Output)
		case "pass", "fail", "skip":
			r.action = e.Action
			switch {
			case e.Test == "":
				if e.Action != "skip" { // skip: a package without tests
					packages = append(packages, fmt.Sprintf("%-5s %6.1fs %s", e.Action, e.Elapsed, e.Package))
				}
				if e.Action == "fail" {
					fmt.Print(strings.Join(r.output, ""))
				}
			case e.Action == "pass":
				passed++
			case e.Action == "fail":
				failed++
				fmt.Print(strings.Join(r.output, ""))
			default:
				skips = append(skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(r.output)))
			}
		}
	}
	if err := lines.Err(); err != nil {
		return false, err
	}
	sort.Strings(packages)
	fmt.Println(strings.Join(packages, "\n"))
	if len(skips) > 0 {
		sort.Strings(skips)
		fmt.Printf("\nskipped:\n  %s\n", strings.Join(skips, "\n  "))
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", passed, failed, len(skips))
	strict := os.Getenv("MILLRACE_REQUIRE_ALL") == "1"
	if strict && len(skips) > 0 {
		fmt.Println("skips are failures here (MILLRACE_REQUIRE_ALL=1); `make setup` installs what is missing")
	}
	return failed == 0 && passed > 0 && !(strict && len(skips) > 0), nil
}

// reason finds what the test said when it skipped itself.
func reason(output []string) string {
	for _, line := range output {
		if _, after, ok := strings.Cut(line, ".go:"); ok {
			if _, text, ok := strings.Cut(after, ": "); ok {
				return strings.TrimSpace(text)
			}
		}
	}
	return "no reason given"
}
