package pipelines

import _ "embed"

// DemoFile names the pipeline of `etl demo`, and Demo is its text: the program
// carries it, so that the demo runs from any folder.
const DemoFile = "pipelines/demo.yaml"

// Demo is the contents of DemoFile.
//
//go:embed demo.yaml
var Demo []byte
