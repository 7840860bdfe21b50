"""How a request travels to a server, and its response back.

Its interface: `Answer`, `Receipt`, `receipt`, `errors_of`, `is_denied`, `status_of` and `SUCCESSFUL` of `answer`;
`Credentials`, `Secret`, `TokenAuth`, `answered`, `cleaned`, `redacted` and `said` of `auth`; `Retries` of
`retries`; `Clock`, `THIS_MACHINE`, `fork_safe_lock`, `refuse_in_browser` and `read_json` of `platform`;
`DeadlineTransport` and `is_certificate_error` of `transport`.
"""
