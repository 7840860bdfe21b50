"""The sandbox: the documented API, simulated in this process or served on a port of this machine.

It reads the documentation independently of the code that builds and sends events: it shares `contract/schema.graphql`
with it, and no code. Its interface is `Sandbox` and `SandboxClock` (in `api`), `Fault` and `faults` (in
`faults`), and `serve`, `Server`, `run` and `HOSTS` (in `server`).
"""
