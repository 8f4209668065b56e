//! What every node does for those who look at it, besides the functions of its program: functions that nobody announces,
//! since all have them. Their names begin with `guthi.`, which is reserved.

use std::{future::Future, sync::Arc};

use super::{
    logs::{AskLog, LogPage, LogQuery, Logs},
    mutexes::{AskMutexes, MUTEXES_LISTED_MAX, MutexQuery, MutexReport},
    resources::AskResources,
    variables::{AskVariables, VARIABLES_LISTED_MAX, VariableQuery, VariableReport},
};
use crate::{
    CallError, Context, Failure, Function, Travels,
    calls::{
        executor::Executor,
        function::{Registered, invoke_with},
        signature::{Signature, Unsupported},
    },
    runtime::monitor::Monitor,
};

/// Lets a node answer for its log and its machine.
pub(crate) fn offer(executor: &Executor, logs: Option<Logs>, monitor: Monitor) {
    let log = move |_, query: LogQuery| {
        let page = logs.as_ref().map_or_else(LogPage::default, |logs| logs.read(&query));
        async move { Ok::<_, CallError>(page) }
    };
    let resources = move |context: Context, ()| {
        // Without this one, which is there only because somebody looks.
        let calls = context.node().map_or(0, |node| node.router().executor().accepted().saturating_sub(1));
        let resources = monitor.look(calls);
        async move { Ok::<_, CallError>(resources) }
    };
    let mutexes = |context: Context, query: MutexQuery| async move {
        let listed = match context.node() {
            Some(node) => node.own_mutexes(query.prefix, MUTEXES_LISTED_MAX).await,
            None => Vec::new(),
        };
        Ok::<_, CallError>(listed.into_iter().map(MutexReport::from).collect::<Vec<_>>())
    };
    let variables = |context: Context, query: VariableQuery| async move {
        let listed = match context.node() {
            Some(node) => node.own_variables(query.prefix, VARIABLES_LISTED_MAX).await,
            None => Vec::new(),
        };
        Ok::<_, CallError>(listed.into_iter().map(VariableReport::from).collect::<Vec<_>>())
    };
    let services = [
        registered(AskLog::NAME, log),
        registered(AskResources::NAME, resources),
        registered(AskMutexes::NAME, mutexes),
        registered(AskVariables::NAME, variables),
    ];
    for service in services {
        executor.register(service.expect("their types can travel, as the tests show"));
    }
}

/// A function that is made at run time, out of an `async` closure.
pub(crate) fn registered<A, T, E, F, R>(name: &str, function: F) -> Result<Registered, Unsupported>
where
    A: Travels,
    T: Travels,
    E: std::fmt::Display + 'static,
    F: Fn(Context, A) -> R + Send + Sync + Clone + 'static,
    R: Future<Output = Result<T, E>> + Send + 'static,
{
    let arguments = A::outline().0?;
    let output = T::outline().0?;
    let run = move |context, input: crate::calls::function::Input<'_>| {
        let function = function.clone();
        invoke_with(context, input, move |context, argument: A| {
            let running = function(context, argument);
            async move { running.await.map_err(Failure::new) }
        })
    };
    let signature = Signature::of_function(&arguments, &output).0;
    Ok(Registered::dynamic(name, signature, format!("{arguments} -> {output}"), Arc::new(run)))
}
